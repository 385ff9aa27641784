# Changes happen while people are there.
package firewarden.action.hours

import data.firewarden.lib.when

changing := {"write", "destroy"}

approve contains {"id": "outside", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	not when.within(data.org.hours, input.now_ns)
	reason := "it is outside of business hours"
}
