# Changes to what deserves care, and to what the alert is not about, need a person.
package firewarden.action.protected

changing := {"write", "destroy"}

approve contains {"id": "namespace", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	some target in input.call.targets
	some pattern in data.org.protected.namespaces
	glob.match(lower(pattern), [], lower(trim_space(target.namespace)))
	reason := sprintf("namespace %s is protected", [lower(trim_space(target.namespace))])
}

approve contains {"id": "kind", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	some target in input.call.targets
	some kind in data.org.protected.kinds
	lower(trim_space(target.kind)) == lower(kind)
	reason := sprintf("much depends on a %s", [kind])
}

# A name that no Kubernetes object can have hides another one from who reads it.
deny contains {"id": "odd-name", "reason": "a name that no Kubernetes object can have", "remedy": remedy} if {
	input.call.effect in proposing
	some target in input.call.targets
	object.get(target, "system", "kubernetes") == "kubernetes"
	some part in ["namespace", "kind", "name"]
	not regex.match(`^[A-Za-z0-9._:-]*$`, trim_space(object.get(target, part, "")))
	remedy := "Write names as the cluster has them: letters, digits, dots and dashes."
}

proposing := {"propose", "write", "destroy"}

# An alert about one namespace is no reason to change another one.
approve contains {"id": "away", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	some target in input.call.targets
	object.get(target, "system", "kubernetes") == "kubernetes"
	place := lower(trim_space(target.namespace))
	place != lower(trim_space(input.resource.namespace))
	reason := "it changes something that the alert is not about"
}
