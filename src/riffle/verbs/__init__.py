"""The verbs as people use them: each joins the parts below into one step, for Python and the command line alike."""
