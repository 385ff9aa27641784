# Text that looks like instructions was read: what is changed after that, a lead has to approve.
package firewarden.action.taint

changing := {"propose", "write", "destroy"}

# From this level on, text looked like instructions. Ordinary text of others, logs and tickets for
# instance, is one below.
instructions := 3

approve contains {"id": "instructions", "groups": data.org.approvers.lead, "reason": reason} if {
	input.call.effect in changing
	input.taint.level >= instructions
	reason := sprintf("text that looks like instructions was read before, in %s", [concat(", ", sources)])
}

default sources := ["what was read"]

sources := input.taint.sources if count(input.taint.sources) > 0
