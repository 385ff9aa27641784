package firewarden.risk.flapping_test

import data.firewarden.risk.flapping

levels(down, failed) := found if {
	found := {[given.id, given.level] | some given in flapping.level} with input as {"history": {
		"down_events_window": down,
		"failed_actions_24h": failed,
	}}
}

test_going_down_again_and_again_is_high if levels(3, 0) == {["down", "HIGH"]}

test_fixes_that_do_not_hold_are_high if levels(0, 2) == {["fixes", "HIGH"]}

test_once_is_no_flap if levels(2, 1) == set()
