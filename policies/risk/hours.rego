# Where nobody is at hand outside of business hours, an incident is a level up.
package firewarden.risk.hours

import data.firewarden.lib.when

raise contains {"id": "outside", "steps": 1, "reason": "it is outside of business hours"} if {
	when.named(input.resource.environment) in data.org.hours.raise_outside
	not when.within(data.org.hours, input.now_ns)
}
