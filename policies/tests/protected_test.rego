package firewarden.risk.protected_test

import data.firewarden.risk.protected

resource(changes) := {"resource": object.union({"namespace": "shop", "kind": "Pod", "labels": {}}, changes)}

levels(changes) := found if {
	found := {[given.id, given.level] | some given in protected.level} with input as resource(changes)
}

raises(changes) := found if {
	found := {[given.id, given.steps] | some given in protected.raise} with input as resource(changes)
}

test_ordinary_resource_is_left_alone if {
	levels({}) == set()
	raises({}) == set()
}

test_system_namespace_is_high if levels({"namespace": "kube-system"}) == {["namespace", "HIGH"]}

test_spelling_of_the_namespace_does_not_matter if levels({"namespace": " Kube-System "}) == {["namespace", "HIGH"]}

test_namespace_that_only_sounds_alike_is_not_protected if levels({"namespace": "my-kube-system"}) == set()

test_protected_label_is_high if {
	levels({"labels": {"firewarden.io/protected": "true"}}) == {["label", "HIGH"]}
}

test_label_with_another_value_is_not_protected if {
	levels({"labels": {"firewarden.io/protected": "false"}}) == set()
}

test_protected_kind_raises if raises({"kind": "Node"}) == {["kind", 1]}

test_spelling_of_the_kind_does_not_matter if raises({"kind": "storageclass"}) == {["kind", 1]}

test_claim_is_an_ordinary_kind if raises({"kind": "PersistentVolumeClaim"}) == set()
