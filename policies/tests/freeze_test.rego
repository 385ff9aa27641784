package firewarden.risk.freeze_test

import data.firewarden.risk.freeze

# 24 December 2026, noon.
noon := 1798113600000000000

hard := {"id": "holidays", "from": "2026-12-20T00:00:00Z", "until": "2027-01-03T00:00:00Z", "environments": ["production"], "hard": true}

soft := object.union(hard, {"hard": false})

of(environment, now) := {"now_ns": now, "resource": {"environment": environment}}

levels(freezes, environment, now) := found if {
	found := {[given.id, given.level] | some given in freeze.level} with input as of(environment, now)
		with data.org.freezes as freezes
}

raises(freezes, environment, now) := found if {
	found := {[given.id, given.steps] | some given in freeze.raise} with input as of(environment, now)
		with data.org.freezes as freezes
}

test_hard_freeze_is_high if levels([hard], "production", noon) == {["hard", "HIGH"]}

test_soft_freeze_raises if {
	raises([soft], "production", noon) == {["soft", 1]}
	levels([soft], "production", noon) == set()
}

test_other_environments_are_left_alone if levels([hard], "development", noon) == set()

test_before_and_after_it_is_silent if {
	levels([hard], "production", 0) == set()
	levels([hard], "production", 1798934400000000000) == set()
}

test_without_freezes_it_is_silent if {
	levels([], "production", noon) == set()
	raises([], "production", noon) == set()
}
