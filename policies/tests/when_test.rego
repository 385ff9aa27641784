package firewarden.lib.when_test

import data.firewarden.lib.when

# Thursday, 24 December 2026, 23:00 UTC.
late := 1798153200000000000

test_day_and_hour if {
	when.within({"days": ["thursday"], "from_hour": 22, "until_hour": 24}, late)
	not when.within({"days": ["friday"], "from_hour": 22, "until_hour": 24}, late)
	not when.within({"days": ["thursday"], "from_hour": 9, "until_hour": 17}, late)
}

test_over_midnight if {
	when.within({"from_hour": 22, "until_hour": 6}, late)
	when.within({"from_hour": 22, "until_hour": 6}, late + ((3 * 3600) * 1000000000))
	not when.within({"from_hour": 22, "until_hour": 6}, late - ((3 * 3600) * 1000000000))
}

test_whole_day if when.within({"from_hour": 0, "until_hour": 0}, late)

test_the_organisation_s_clock_counts if {
	friday := {"days": ["friday"], "from_hour": 0, "until_hour": 1}
	when.within(friday, late) with data.org.timezone as "Europe/Berlin"
	not when.within(friday, late)
}
