# What a freeze forbids, and what it lets happen with a person's consent.
package firewarden.action.freeze

import data.firewarden.lib.when

changing := {"write", "destroy"}

proposing := {"propose", "write", "destroy"}

deny contains {"id": "hard", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	some freeze in data.org.freezes
	object.get(freeze, "hard", false)
	when.covers(freeze, input.resource.environment)
	when.during(freeze, input.now_ns)
	reason := sprintf("nothing is changed while the freeze %s is on", [freeze.id])
	remedy := "Nothing may be changed during the freeze. Describe the change in your report."
}

approve contains {"id": "soft", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in proposing
	some freeze in data.org.freezes
	not object.get(freeze, "hard", false)
	when.covers(freeze, input.resource.environment)
	when.during(freeze, input.now_ns)
	reason := sprintf("the freeze %s is on", [freeze.id])
}

# A hard freeze stops changes; a pull request may be prepared, and a person lets it be opened.
approve contains {"id": "proposal", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect == "propose"
	some freeze in data.org.freezes
	object.get(freeze, "hard", false)
	when.covers(freeze, input.resource.environment)
	when.during(freeze, input.now_ns)
	reason := sprintf("the freeze %s is on", [freeze.id])
}
