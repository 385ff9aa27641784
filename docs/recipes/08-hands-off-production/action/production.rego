# Production is changed by people.
package firewarden.action.production

import data.firewarden.lib.when

changing := {"write", "destroy"}

deny contains {"id": "hands-off", "reason": "production is changed by people", "remedy": remedy} if {
	input.call.effect in changing
	when.named(input.resource.environment) in {"production", "unknown"}
	remedy := "Describe the change in your report, or open a pull request."
}
