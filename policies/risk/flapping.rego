# A restart feeds the flap: what goes down again and again, or did not stay mended, is left to people.
package firewarden.risk.flapping

level contains {"id": "down", "level": "HIGH", "reason": reason} if {
	input.history.down_events_window >= data.org.flapping.down_events
	reason := sprintf("it went down %d times within %d s", [input.history.down_events_window, data.org.flapping.window_s])
}

level contains {"id": "fixes", "level": "HIGH", "reason": reason} if {
	input.history.failed_actions_24h >= data.org.flapping.failed_actions_24h
	reason := sprintf("%d changes of the last day did not hold", [input.history.failed_actions_24h])
}
