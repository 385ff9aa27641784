# How much a change may touch.
package firewarden.action.blast

changing := {"write", "destroy"}

deny contains {"id": "hard-limit", "reason": reason, "remedy": remedy} if {
	input.call.effect in changing
	input.blast_radius.known
	input.blast_radius.pods > data.org.blast.pods_deny
	reason := sprintf("it would touch more than %d Pods", [data.org.blast.pods_deny])
	remedy := "That is too much at once. Propose a change of one workload, or say in your report what a person should do."
}

approve contains {"id": "soft-limit", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	input.blast_radius.known
	input.blast_radius.pods > data.org.blast.pods_approve
	reason := sprintf("it would touch more than %d Pods", [data.org.blast.pods_approve])
}

approve contains {"id": "unknown", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	not input.blast_radius.known
	reason := "how much it would touch is not known"
}
