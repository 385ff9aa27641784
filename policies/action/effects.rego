# What each posture permits. The level of the incident limits it further, in the program itself.
package firewarden.action.effects

import data.firewarden.lib.when

postures := {"locked_down", "supervised", "standard", "scoped_autonomous"}

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

# At night, named services may be mended alone; that is all.
allow contains {"id": "autonomous", "reason": "a named service may be mended alone at this hour"} if {
	input.call.effect in changing
	data.org.posture == "scoped_autonomous"
	below_critical
	autonomous
}

approve contains {"id": "scoped", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	data.org.posture == "scoped_autonomous"
	not autonomous
	reason := "only named services are mended alone, and only at night"
}

autonomous if {
	input.call.effect == "write"
	input.call.tool in data.org.autonomy.tools
	count(input.call.targets) > 0
	every target in input.call.targets {
		named(target)
	}
	when.within(data.org.autonomy, input.now_ns)
}

named(target) if {
	object.get(target, "system", "kubernetes") == "kubernetes"
	some pattern in data.org.autonomy.services
	glob.match(lower(pattern), ["/"], lower(sprintf("%s/%s", [target.namespace, target.name])))
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
	lower(target.kind) == "container"
	lower(target.verb) == "run"
	reason := sprintf("%s would run other code than now", [substring(target.name, 0, 120)])
}

deny contains {"id": "unknown-posture", "reason": "data.org.posture names no posture"} if {
	not data.org.posture in postures
}

below_critical if input.risk.level in {"LOW", "MEDIUM", "HIGH"}
