# A remediation that loops is broken, and a wave over many things needs a person.
package firewarden.action.rate

changing := {"write", "destroy"}

deny contains {"id": "same-action", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	input.history.same_action_1h >= data.org.rate.same_action_1h
	reason := sprintf("the same change was made %d times within an hour", [input.history.same_action_1h])
	remedy := "That was tried already and did not help. Look for another cause, or say so in your report."
}

deny contains {"id": "did-not-help", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	input.history.same_action_failed_24h >= data.org.rate.same_action_failed_24h
	reason := sprintf("the same change did not hold %d times within a day", [input.history.same_action_failed_24h])
	remedy := "That was tried already and did not hold. Look for another cause, or say so in your report."
}

approve contains {"id": "resource", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	input.history.resource_actions_1h >= data.org.rate.resource_1h
	reason := "it was changed often within the last hour"
}

approve contains {"id": "namespace", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	input.history.namespace_actions_1h >= data.org.rate.namespace_1h
	reason := "much was changed in its namespace within the last hour"
}

approve contains {"id": "wave", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	input.history.targets_of_kind_1h >= data.org.rate.targets_of_kind_1h
	reason := "many things of its kind were changed within the last hour"
}
