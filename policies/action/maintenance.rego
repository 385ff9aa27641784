# Where changes have their windows, a change outside of them needs a person.
package firewarden.action.maintenance

import data.firewarden.lib.when

changing := {"write", "destroy"}

approve contains {"id": "outside", "groups": data.org.approvers.default, "reason": reason} if {
	input.call.effect in changing
	count(windows) > 0
	count([window | some window in windows; when.within(window, input.now_ns)]) == 0
	reason := "it is outside of the maintenance windows"
}

windows := [window | some window in data.org.maintenance_windows; when.covers(window, input.resource.environment)]
