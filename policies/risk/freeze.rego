# During a freeze an incident deserves more care.
package firewarden.risk.freeze

import data.firewarden.lib.when

level contains {"id": "hard", "level": "HIGH", "reason": reason} if {
	some freeze in data.org.freezes
	object.get(freeze, "hard", false)
	when.covers(freeze, input.resource.environment)
	when.during(freeze, input.now_ns)
	reason := sprintf("the freeze %s is on", [freeze.id])
}

raise contains {"id": "soft", "steps": 1, "reason": reason} if {
	some freeze in data.org.freezes
	not object.get(freeze, "hard", false)
	when.covers(freeze, input.resource.environment)
	when.during(freeze, input.now_ns)
	reason := sprintf("the freeze %s is on", [freeze.id])
}
