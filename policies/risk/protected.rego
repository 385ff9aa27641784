# What deserves care whatever the severity says.
package firewarden.risk.protected

level contains {"id": "namespace", "level": "HIGH", "reason": reason} if {
	some pattern in data.org.protected.namespaces
	glob.match(lower(pattern), [], namespace)
	reason := sprintf("namespace %s is protected", [namespace])
}

level contains {"id": "label", "level": "HIGH", "reason": reason} if {
	some name, value in data.org.protected.labels
	input.resource.labels[name] == value
	reason := sprintf("the resource carries the label %s", [name])
}

raise contains {"id": "kind", "steps": 1, "reason": reason} if {
	some kind in data.org.protected.kinds
	lower(input.resource.kind) == lower(kind)
	reason := sprintf("much depends on a %s", [kind])
}

namespace := lower(trim_space(input.resource.namespace))
