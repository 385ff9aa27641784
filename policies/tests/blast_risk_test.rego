package firewarden.risk.blast_test

import data.firewarden.risk.blast

raises(radius) := found if {
	found := {[given.id, given.steps] | some given in blast.raise} with input as {"blast_radius": radius}
}

test_many_pods_raise if raises({"known": true, "pods": 51, "pvc_bytes": 0}) == {["pods", 1]}

test_few_pods_are_left_alone if raises({"known": true, "pods": 50, "pvc_bytes": 0}) == set()

test_much_data_raises if raises({"known": true, "pods": 1, "pvc_bytes": 1099511627777}) == {["volumes", 1]}

test_what_is_not_known_raises_nothing if raises({"known": false, "pods": 99, "pvc_bytes": 0}) == set()
