# Days, hours and freezes, from the moment that the input tells: policies have no clock.
package firewarden.lib.when

# The name that the organisation has for an environment.
named(environment) := object.get(data.org.environments, environment, environment)

# A freeze or a window is about an environment that it names. One without names is about all, and nobody
# knows that an unknown environment is not meant.
covers(span, _) if count(object.get(span, "environments", [])) == 0

covers(_, environment) if named(environment) in {"unknown", ""}

covers(span, environment) if named(environment) in object.get(span, "environments", [])

# From one moment to another, RFC 3339.
during(span, now_ns) if {
	time.parse_rfc3339_ns(span.from) <= now_ns
	now_ns < time.parse_rfc3339_ns(span.until)
}

# On certain days, from one full hour to another, by the organisation's clock; over midnight when the
# second is the smaller one. Without days it is every day.
within(window, now_ns) if {
	on_day(window, now_ns)
	between(time.clock([now_ns, data.org.timezone])[0], window.from_hour, window.until_hour)
}

on_day(window, _) if count(object.get(window, "days", [])) == 0

on_day(window, now_ns) if lower(time.weekday([now_ns, data.org.timezone])) in object.get(window, "days", [])

between(_, from, until) if from == until

between(hour, from, until) if {
	from < until
	hour >= from
	hour < until
}

between(hour, from, until) if {
	from > until
	hour >= from
}

between(hour, from, until) if {
	from > until
	hour < until
}
