# What each posture permits. The level of the incident limits it further, in the program itself.
package firewarden.action.effects

postures := {"locked_down", "supervised", "standard"}

changing := {"propose", "write", "destroy"}

allow contains {"id": "look", "reason": "looking is permitted below CRITICAL"} if {
	input.call.effect == "read"
	below_critical
}

allow contains {"id": "document", "reason": "writing it down is permitted below CRITICAL"} if {
	input.call.effect == "record"
	below_critical
}

allow contains {"id": "within-level", "reason": "the level of the incident decides"} if {
	input.call.effect in changing
	data.org.posture == "standard"
	below_critical
}

approve contains {"id": "supervised", "groups": data.org.approvers.default, "reason": "every change is supervised"} if {
	input.call.effect in changing
	data.org.posture == "supervised"
}

deny contains {"id": "locked-down", "reason": "nothing may be changed", "remedy": remedy} if {
	input.call.effect in changing
	data.org.posture == "locked_down"
	remedy := "Nothing may be changed here. Describe the change in your report."
}

# `firewarden doctor model` measures a model. One that failed may look and take notes.
deny contains {"id": "model-failed", "reason": "the model failed its evaluation", "remedy": remedy} if {
	input.investigation.model_profile == "failed"
	input.call.effect in changing
	remedy := "You may read and take notes. Describe the change in your report."
}

# Nothing that a weak model proposes, or one that nobody measured, happens without a person.
approve contains {"id": "model-weak", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	not input.investigation.model_profile in {"ok", "none"}
	reason := sprintf("the model's profile is %v", [object.get(input.investigation, "model_profile", "absent")])
}

# Code that a manifest brings runs beside whatever its Pods may read: a person looks at it first. The
# tool names each such container among the targets.
approve contains {"id": "code", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	some target in input.call.targets
	lower(target.verb) == "run"
	reason := sprintf("%s would run other code than now", [substring(target.name, 0, 120)])
}

deny contains {"id": "unknown-posture", "reason": "data.org.posture names no posture"} if {
	not data.org.posture in postures
}

below_critical if input.risk.level in {"LOW", "MEDIUM", "HIGH"}
