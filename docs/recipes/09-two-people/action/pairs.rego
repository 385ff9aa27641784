# Two people agree to each removal.
package firewarden.action.pairs

approve contains {"id": "removal", "groups": data.org.approvers.default, "count": 2, "reason": reason} if {
	input.call.effect == "destroy"
	reason := "a removal needs two people"
}
