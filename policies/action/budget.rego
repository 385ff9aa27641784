# What models may cost, by data.org.budget. Each call that a model makes is paid for: its result goes
# back to the model, which answers again. Calls of the survey cost nothing and are never denied here.
# The program's own budgets (budgets in firewarden.yaml) bound what is spent; these limits say from
# where on a model has to come to its end.
package firewarden.action.budget

deny contains {"id": "day", "reason": reason, "remedy": remedy} if {
	costs
	limit := data.org.budget.day_usd
	limit != null
	not below(input.spend.day_usd, limit)
	reason := "models have cost what they may cost in a day"
}

deny contains {"id": "investigation", "reason": reason, "remedy": remedy} if {
	costs
	limit := data.org.budget.investigation_usd
	limit != null
	not below(input.spend.investigation_usd, limit)
	reason := "this investigation has cost what it may cost"
}

remedy := "The money for looking around is used up. Finish now with what you have seen."

costs if input.investigation.model != null

# Both are numbers, and something is left.
below(spent, limit) if {
	is_number(spent)
	is_number(limit)
	spent < limit
}
