# What a repository describes is changed there.
package firewarden.action.gitops

changing := {"write", "destroy"}

deny contains {"id": "managed", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	by := input.resource.gitops.managed_by
	by != ""
	reason := sprintf("%s would undo it", [by])
	remedy := "This is described in a repository. Open a pull request there instead."
}
