# Whoever owns a thing is asked about changes of it.
package firewarden.action.team

changing := {"write", "destroy"}

approve contains {"id": "owner", "groups": groups, "reason": reason} if {
	input.call.effect in changing
	team := input.resource.owner.team
	team != ""
	groups := [sprintf("team:%s", [team])]
	reason := sprintf("it belongs to the team %s", [team])
}
