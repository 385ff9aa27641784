package firewarden.action.rate_test

import data.firewarden.action.rate

none := {
	"resource_actions_1h": 0,
	"resource_actions_24h": 0,
	"namespace_actions_1h": 0,
	"targets_of_kind_1h": 0,
	"same_action_1h": 0,
	"same_action_failed_24h": 0,
}

of(effect, changes) := {"call": {"effect": effect}, "history": object.union(none, changes)}

denies(effect, changes) := ids if {
	ids := {given.id | some given in rate.deny} with input as of(effect, changes)
}

asks(effect, changes) := ids if {
	ids := {given.id | some given in rate.approve} with input as of(effect, changes)
}

test_first_change_is_fine if {
	denies("write", {}) == set()
	asks("write", {}) == set()
}

test_second_of_the_same_is_fine if denies("write", {"same_action_1h": 1}) == set()

test_third_of_the_same_is_a_loop if denies("write", {"same_action_1h": 2}) == {"same-action"}

test_what_did_not_hold_is_not_tried_again if denies("write", {"same_action_failed_24h": 2}) == {"did-not-help"}

test_looking_again_is_no_loop if denies("read", {"same_action_1h": 9, "same_action_failed_24h": 9}) == set()

test_often_changed_thing_asks if asks("write", {"resource_actions_1h": 3}) == {"resource"}

test_busy_namespace_asks if asks("write", {"namespace_actions_1h": 10}) == {"namespace"}

test_wave_asks if asks("destroy", {"targets_of_kind_1h": 5}) == {"wave"}
