package firewarden.action.maintenance_test

import data.firewarden.action.maintenance

# Thursday, 24 December 2026.
noon := 1798113600000000000

late := 1798153200000000000

night := {"id": "nights", "days": ["thursday"], "from_hour": 22, "until_hour": 24, "environments": ["production"]}

asks(windows, effect, environment, now) := ids if {
	ids := {given.id | some given in maintenance.approve} with input as {
		"now_ns": now,
		"call": {"effect": effect},
		"resource": {"environment": environment},
	}
		with data.org.maintenance_windows as windows
}

test_outside_of_the_window_asks if asks([night], "write", "production", noon) == {"outside"}

test_in_the_window_nobody_is_asked if asks([night], "write", "production", late) == set()

test_environment_without_windows_is_left_alone if asks([night], "write", "development", noon) == set()

test_looking_needs_no_window if asks([night], "read", "production", noon) == set()

test_one_open_window_is_enough if {
	asks([night, object.union(night, {"from_hour": 11, "until_hour": 13})], "destroy", "production", noon) == set()
}

test_without_windows_nobody_is_asked if asks([], "write", "production", noon) == set()
