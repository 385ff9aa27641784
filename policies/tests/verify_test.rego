package firewarden.action.verify_test

import data.firewarden.action.verify

watched(effect, class) := ids if {
	ids := {given.id | some given in verify.oblige} with input as {
		"call": {"effect": effect},
		"investigation": {"class": class},
	}
}

test_change_in_an_outage_is_watched if watched("write", "service_down") == {"outage"}

test_change_of_what_flaps_is_watched if watched("write", "service_flapping") == {"outage"}

test_it_is_watched_for_ten_minutes if {
	some given in verify.oblige with input as {
		"call": {"effect": "write"},
		"investigation": {"class": "service_down"},
	}
	[given.kind, given.within_s] == ["verify_after", 600]
}

test_pull_request_has_nothing_to_watch if watched("propose", "service_down") == set()

test_change_without_an_outage_is_not_watched if watched("write", "resource_pressure") == set()
