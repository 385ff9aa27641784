package firewarden.action.freeze_test

import data.firewarden.action.freeze

# 24 December 2026, noon.
noon := 1798113600000000000

hard := {"id": "holidays", "from": "2026-12-20T00:00:00Z", "until": "2027-01-03T00:00:00Z", "environments": ["production"], "hard": true}

soft := object.union(hard, {"hard": false})

of(effect, environment) := {"now_ns": noon, "call": {"effect": effect}, "resource": {"environment": environment}}

denies(freezes, effect, environment) := ids if {
	ids := {given.id | some given in freeze.deny} with input as of(effect, environment) with data.org.freezes as freezes
}

asks(freezes, effect, environment) := ids if {
	ids := {given.id | some given in freeze.approve} with input as of(effect, environment) with data.org.freezes as freezes
}

test_hard_freeze_denies_changes if {
	every effect in ["write", "destroy"] {
		denies([hard], effect, "production") == {"hard"}
	}
}

test_other_names_of_the_environment_count if denies([hard], "write", "prd") == {"hard"}

test_unknown_environment_is_not_taken_for_another if {
	denies([hard], "write", "unknown") == {"hard"}
	denies([hard], "write", "") == {"hard"}
}

test_freeze_without_environments_is_about_all if {
	denies([object.remove(hard, ["environments"])], "write", "development") == {"hard"}
}

test_other_environments_are_left_alone if denies([hard], "write", "development") == set()

test_looking_is_never_frozen if denies([hard], "read", "production") == set()

test_pull_request_asks_in_a_hard_freeze if asks([hard], "propose", "production") == {"proposal"}

test_soft_freeze_asks if {
	every effect in ["propose", "write", "destroy"] {
		asks([soft], effect, "production") == {"soft"}
	}
	denies([soft], "write", "production") == set()
}

test_without_freezes_nobody_is_asked if asks([], "write", "production") == set()
