package firewarden.action.protected_test

import data.firewarden.action.protected

asks(effect, changes) := ids if {
	target := object.union({"system": "kubernetes", "namespace": "shop", "kind": "Deployment"}, changes)
	ids := {given.id | some given in protected.approve} with input as {
		"call": {"effect": effect, "targets": [target]},
		"resource": {"namespace": "shop"},
	}
}

test_change_where_the_alert_is_asks_nobody if asks("write", {}) == set()

test_reading_elsewhere_asks_nobody if asks("read", {"namespace": "kube-system"}) == set()

test_system_namespace_asks if asks("write", {"namespace": "Kube-System"}) == {"namespace", "away"}

test_protected_kind_asks if asks("write", {"kind": "node"}) == {"kind"}

test_another_namespace_asks if asks("write", {"namespace": "bank"}) == {"away"}

test_target_without_a_namespace_asks if asks("write", {"namespace": ""}) == {"away"}

test_pull_request_elsewhere_is_other_rules_business if {
	asks("propose", {"system": "github", "namespace": "acme/platform"}) == set()
}

test_ticket_of_a_project_is_no_namespace if asks("write", {"system": "jira", "namespace": "OPS"}) == set()

refuses(effect, changes) := ids if {
	target := object.union({"system": "kubernetes", "namespace": "shop", "kind": "Deployment", "name": "api"}, changes)
	ids := {given.id | some given in protected.deny} with input as {
		"call": {"effect": effect, "targets": [target]},
		"resource": {"namespace": "shop"},
	}
}

test_look_alike_name_is_refused if {
	every part in ["namespace", "kind", "name"] {
		refuses("write", {part: "c\u043eredns"}) == {"odd-name"}
	}
}

test_name_of_a_role_is_no_odd_name if refuses("write", {"name": "system:node-proxier"}) == set()

test_paths_of_pull_requests_are_no_names if refuses("propose", {"system": "github", "name": "a b"}) == set()
