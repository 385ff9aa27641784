# Whoever is watched does not change the watchman: its own namespace, policy and approvals.
package firewarden.action.self

changing := {"record", "propose", "write", "destroy"}

deny contains {"id": "namespace", "reason": "it would change firewarden's own namespace", "remedy": remedy} if {
	input.call.effect in changing
	some target in input.call.targets
	object.get(target, "system", "kubernetes") == "kubernetes"
	some pattern in data.org.self.namespaces
	glob.match(lower(pattern), [], lower(trim_space(target.namespace)))
}

deny contains {"id": "object", "reason": "it would change firewarden's own objects", "remedy": remedy} if {
	input.call.effect in changing
	some target in input.call.targets
	some pattern in data.org.self.names
	glob.match(lower(pattern), [], lower(trim_space(target.name)))
}

deny contains {"id": "path", "reason": "it would change what firewarden is governed by", "remedy": remedy} if {
	input.call.effect in changing
	some file in input.pr.files
	some pattern in data.org.self.paths
	glob.match(lower(pattern), ["/"], trim_left(lower(file), "./"))
}

deny contains {"id": "tool", "reason": "approvals are given by people", "remedy": remedy} if {
	input.call.effect in changing
	input.call.tool in data.org.self.tools
}

remedy := "Nothing of firewarden itself may be changed. Say in your report what a person should look at."
