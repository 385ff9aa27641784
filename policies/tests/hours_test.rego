package firewarden.risk.hours_test

import data.firewarden.risk.hours

# Thursday, 24 December 2026.
noon := 1798113600000000000

late := 1798153200000000000

raises(environment, now) := found if {
	found := {given.id | some given in hours.raise} with input as {"now_ns": now, "resource": {"environment": environment}}
		with data.org.hours.raise_outside as ["production"]
}

test_outside_of_hours_raises if {
	raises("production", late) == {"outside"}
	raises("prod", late) == {"outside"}
}

test_within_hours_is_left_alone if raises("production", noon) == set()

test_other_environments_are_left_alone if raises("development", late) == set()

test_as_shipped_it_is_silent if {
	ids := {given.id | some given in hours.raise} with input as {"now_ns": late, "resource": {"environment": "production"}}
	ids == set()
}
