"""`pairbridge app`: a trained model in the browser, on this machine, without calling out.

Needs the extra `app`; what does not draw the page itself works without it.
"""
