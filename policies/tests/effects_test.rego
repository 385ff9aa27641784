package firewarden.action.effects_test

import data.firewarden.action.effects

call(effect, level) := {
	"call": {"effect": effect},
	"risk": {"level": level},
	"investigation": {"model_profile": "ok"},
}

by_failed_model(effect) := object.union(call(effect, "LOW"), {"investigation": {"model_profile": "failed"}})

allows(effect, level) := ids if {
	ids := {given.id | some given in effects.allow} with input as call(effect, level)
}

denies(effect, level) := ids if {
	ids := {given.id | some given in effects.deny} with input as call(effect, level)
}

asks(effect, level) := ids if {
	ids := {given.id | some given in effects.approve} with input as call(effect, level)
}

test_looking_is_allowed_below_critical if {
	every level in ["LOW", "MEDIUM", "HIGH"] {
		allows("read", level) == {"look"}
	}
}

test_documenting_is_allowed_below_critical if {
	every level in ["LOW", "MEDIUM", "HIGH"] {
		allows("record", level) == {"document"}
	}
}

test_changes_are_left_to_the_level if {
	every effect in ["propose", "write", "destroy"] {
		allows(effect, "MEDIUM") == {"within-level"}
	}
}

test_nothing_is_allowed_at_critical if {
	every effect in ["read", "record", "propose", "write", "destroy"] {
		allows(effect, "CRITICAL") == set()
	}
}

test_unknown_effect_is_not_allowed if allows("dance", "LOW") == set()

test_standard_neither_asks_nor_denies if {
	asks("write", "LOW") == set()
	denies("write", "LOW") == set()
}

test_supervised_asks_for_each_change if {
	ids := asks("write", "LOW") with data.org.posture as "supervised"
	ids == {"supervised"}
}

test_supervised_lets_look_without_asking if {
	ids := asks("read", "LOW") with data.org.posture as "supervised"
	ids == set()
}

test_supervised_allows_no_change if {
	ids := allows("write", "LOW") with data.org.posture as "supervised"
	ids == set()
}

test_supervised_asks_the_default_approvers if {
	groups := {group | some given in effects.approve; some group in given.groups} with input as call("write", "LOW")
		with data.org.posture as "supervised"
	groups == {"oncall"}
}

test_locked_down_denies_each_change if {
	every effect in ["propose", "write", "destroy"] {
		ids := denies(effect, "LOW") with data.org.posture as "locked_down"
		ids == {"locked-down"}
	}
}

test_locked_down_lets_look if {
	ids := denies("read", "LOW") with data.org.posture as "locked_down"
	ids == set()
}

test_failed_model_looks_and_documents if {
	every effect in ["read", "record"] {
		ids := {given.id | some given in effects.deny} with input as by_failed_model(effect)
		ids == set()
	}
}

test_unknown_posture_denies_everything if {
	ids := denies("read", "LOW") with data.org.posture as "relaxed"
	ids == {"unknown-posture"}
}

by_model(effect, profile) := object.union(call(effect, "LOW"), {"investigation": {"model_profile": profile}})

asks_of(effect, profile) := ids if {
	ids := {given.id | some given in effects.approve} with input as by_model(effect, profile)
}

denies_of(effect, profile) := ids if {
	ids := {given.id | some given in effects.deny} with input as by_model(effect, profile)
}

test_a_person_approves_what_a_weak_model_would_change if {
	every profile in ["weak", "unknown", "a word of tomorrow"] {
		every effect in ["propose", "write", "destroy"] {
			asks_of(effect, profile) == {"model-weak"}
			denies_of(effect, profile) == set()
		}
	}
}

test_a_weak_model_looks_and_documents_alone if {
	every effect in ["read", "record"] {
		asks_of(effect, "weak") == set()
		denies_of(effect, "weak") == set()
	}
}

test_a_failed_model_changes_nothing if {
	every effect in ["propose", "write", "destroy"] {
		denies_of(effect, "failed") == {"model-failed"}
	}
}

test_without_a_model_nobody_is_asked_for_it if {
	every profile in ["ok", "none"] {
		asks_of("write", profile) == set()
		denies_of("write", profile) == set()
	}
}

touching(effect, targets) := ids if {
	called := object.union(call(effect, "LOW"), {"call": {"effect": effect, "targets": targets}})
	ids := {given.id | some given in effects.approve} with input as called
}

test_a_person_looks_at_code_that_a_manifest_brings if {
	every effect in ["propose", "write", "destroy"] {
		touching(effect, [{"kind": "Deployment", "name": "api", "verb": "patch"}, {"kind": "Container", "name": "api:side", "verb": "run"}]) == {"code"}
	}
	reasons := {given.reason | some given in effects.approve} with input as object.union(call("write", "LOW"), {"call": {"effect": "write", "targets": [{"kind": "Container", "name": "api:side", "verb": "run"}]}})
	reasons == {"api:side would run other code than now"}
}

test_what_brings_no_code_needs_nobody_for_it if {
	touching("write", [{"kind": "Deployment", "name": "api", "verb": "patch"}]) == set()
	touching("read", [{"kind": "Container", "name": "api:side", "verb": "run"}]) == set()
	touching("write", [{"kind": "Cache", "name": "sessions", "verb": "run"}]) == set()
}

# Thursday, 24 December 2026.
noon := 1798113600000000000

late := 1798153200000000000

scoped(effect, tool, name, now) := {
	"now_ns": now,
	"risk": {"level": "LOW"},
	"investigation": {"model_profile": "ok"},
	"call": {"effect": effect, "tool": tool, "targets": [{"system": "kubernetes", "namespace": "shop", "name": name}]},
}

alone(effect, tool, name, now) := ids if {
	ids := {given.id | some given in effects.allow} with input as scoped(effect, tool, name, now)
		with data.org.posture as "scoped_autonomous"
		with data.org.autonomy.services as ["shop/api*"]
}

asked(effect, tool, name, now) := ids if {
	ids := {given.id | some given in effects.approve} with input as scoped(effect, tool, name, now)
		with data.org.posture as "scoped_autonomous"
		with data.org.autonomy.services as ["shop/api*"]
}

test_named_service_is_mended_alone_at_night if {
	alone("write", "kubernetes_rollout_restart", "api", late) == {"autonomous"}
	asked("write", "kubernetes_rollout_restart", "api", late) == set()
}

test_by_day_it_asks if {
	alone("write", "kubernetes_rollout_restart", "api", noon) == set()
	asked("write", "kubernetes_rollout_restart", "api", noon) == {"scoped"}
}

test_other_services_ask if asked("write", "kubernetes_rollout_restart", "db", late) == {"scoped"}

test_other_tools_ask if asked("write", "kubernetes_apply", "api", late) == {"scoped"}

test_removals_and_pull_requests_ask if {
	every effect in ["propose", "destroy"] {
		asked(effect, "kubernetes_rollout_restart", "api", late) == {"scoped"}
	}
}
