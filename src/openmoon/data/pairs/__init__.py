"""Query→item pairs: from behaviour, cleaned by rules, with an account of what each rule did."""
