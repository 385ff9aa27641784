package firewarden.action.pressure_test

import data.firewarden.action.pressure

asks(effect, class) := ids if {
	ids := {given.id | some given in pressure.approve} with input as {
		"call": {"effect": effect},
		"investigation": {"class": class},
	}
}

test_change_under_pressure_asks if asks("write", "resource_pressure") == {"pressure"}

test_removal_under_pressure_asks if asks("destroy", "resource_pressure") == {"pressure"}

test_pull_request_under_pressure_is_the_levels_business if asks("propose", "resource_pressure") == set()

test_other_classes_are_left_alone if asks("write", "service_down") == set()
