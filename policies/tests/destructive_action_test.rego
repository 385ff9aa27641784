package firewarden.action.destructive_test

import data.firewarden.action.destructive

target(changes) := object.union({"kind": "Deployment", "name": "api", "verb": "patch", "stateful": false, "controlled": false}, changes)

call(effect, changes, texts) := {"call": {
	"effect": effect,
	"targets": [target(changes)],
	"texts": [{"keys": ["x"], "value": text, "folded": lower(text)} | some text in texts],
	"argv": [],
}}

denies(effect, changes, texts) := ids if {
	ids := {given.id | some given in destructive.deny} with input as call(effect, changes, texts)
}

test_ordinary_change_is_left_alone if denies("write", {}, ["payments", "scale to 3"]) == set()

test_claim_is_never_removed if {
	denies("destroy", {"kind": "PersistentVolumeClaim", "verb": "delete"}, []) == {"data"}
}

test_removal_is_known_by_its_verb_too if denies("write", {"kind": "Namespace", "verb": "delete"}, []) == {"data"}

test_claim_may_grow if denies("write", {"kind": "PersistentVolumeClaim", "verb": "patch"}, []) == set()

test_bare_stateful_pod_is_not_removed if {
	denies("destroy", {"kind": "Pod", "verb": "delete", "stateful": true}, []) == {"stateful"}
}

test_pod_that_comes_back_may_be_evicted if {
	denies("write", {"kind": "Pod", "verb": "evict", "stateful": true, "controlled": true}, []) == set()
}

test_orders_in_arguments_are_refused if {
	every text in ["rm -rf /data", "DROP TABLE users", "kubectl delete ns payments", "terraform destroy"] {
		denies("write", {}, [text]) == {"wording"}
	}
}

test_orders_in_a_command_are_refused if {
	ids := {given.id | some given in destructive.deny} with input as {"call": {
		"effect": "write",
		"targets": [target({})],
		"texts": [],
		"argv": ["sh", "-c", "rm", "-rf", "/var/lib"],
	}}
	ids == {"wording"}
}

test_reading_about_it_is_no_order if denies("read", {}, ["rm -rf /data"]) == set()
