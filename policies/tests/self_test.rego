package firewarden.action.self_test

import data.firewarden.action.self

denies(effect, changes, files) := ids if {
	target := object.union({"system": "kubernetes", "namespace": "shop", "name": "api"}, changes)
	ids := {given.id | some given in self.deny} with input as {
		"call": {"effect": effect, "tool": "kubernetes_scale", "targets": [target]},
		"pr": {"files": files},
	}
}

test_others_are_left_alone if denies("write", {}, ["clusters/shop/api.yaml"]) == set()

test_own_namespace_is_not_changed if denies("write", {"namespace": " Firewarden"}, []) == {"namespace"}

test_own_namespace_may_be_looked_at if denies("read", {"namespace": "firewarden"}, []) == set()

test_own_objects_are_not_changed if {
	every name in ["firewarden", "firewarden-policies"] {
		denies("write", {"name": name}, []) == {"object"}
	}
}

test_own_policies_are_not_changed_by_pull_request if {
	every path in ["policies/action/pr.rego", "Policies/data/org.yaml", "deploy/firewarden/values.yaml", "firewarden.yaml"] {
		denies("propose", {"system": "github"}, [path]) == {"path"}
	}
}

test_namespace_of_that_name_in_another_system_is_not_ours if {
	denies("record", {"system": "jira", "namespace": "firewarden", "name": "OPS-1"}, []) == set()
}

test_tool_that_answers_for_people_is_refused if {
	ids := {given.id | some given in self.deny} with input as {
		"call": {"effect": "write", "tool": "approve", "targets": []},
		"pr": {"files": []},
	}
		with data.org.self.tools as ["approve"]
	ids == {"tool"}
}
