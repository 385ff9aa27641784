# The organisation's clock, for the inputs: what its data say of a moment.
package firewarden.almanac

import data.firewarden.lib.when

maintenance if {
	some window in data.org.maintenance_windows
	meant(window)
	when.within(window, input.now_ns)
}

# What is not known to be meant is in no window: an open one permits.
meant(window) if count(object.get(window, "environments", [])) == 0

meant(window) if when.named(input.environment) in object.get(window, "environments", [])

tz := data.org.timezone

weekday := lower(time.weekday([input.now_ns, data.org.timezone]))

hour := time.clock([input.now_ns, data.org.timezone])[0]

has_hours if data.org.hours

business_hours if when.within(data.org.hours, input.now_ns)
