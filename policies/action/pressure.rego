# A full disk or a used-up memory is not mended by what a machine does on its own: a restart frees it
# for an hour and hides the cause.
package firewarden.action.pressure

changing := {"write", "destroy"}

approve contains {"id": "pressure", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	input.investigation.class == "resource_pressure"
	reason := "the incident is about a resource that runs out"
}
