# What was done because something is down is watched until the alert ends, so that nobody takes a change
# for a cure.
package firewarden.action.verify

changing := {"write", "destroy"}

outages := {"service_down", "service_flapping"}

oblige contains {"id": "outage", "kind": "verify_after", "within_s": 600, "reason": reason} if {
	input.call.effect in changing
	input.investigation.class in outages
	reason := "whether it helps is seen within 10 min"
}
