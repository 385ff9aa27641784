# What goes down again and again is not mended by a machine alone: whatever is done may feed the flap.
package firewarden.action.flapping

changing := {"write", "destroy"}

approve contains {"id": "flapping", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	input.investigation.class == "service_flapping"
	reason := "it goes down again and again"
}
