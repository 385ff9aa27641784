package firewarden.action.flapping_test

import data.firewarden.action.flapping

asks(effect, class) := ids if {
	ids := {given.id | some given in flapping.approve} with input as {
		"call": {"effect": effect},
		"investigation": {"class": class},
	}
}

test_change_of_what_flaps_asks if asks("write", "service_flapping") == {"flapping"}

test_removal_of_what_flaps_asks if asks("destroy", "service_flapping") == {"flapping"}

test_looking_at_what_flaps_asks_nobody if asks("read", "service_flapping") == set()

test_what_went_down_once_is_the_levels_business if asks("write", "service_down") == set()
