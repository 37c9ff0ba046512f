"""The bus in a browser: what ``fedmsg-web`` serves.  Nothing here publishes anything.

A message goes through :class:`~fedmsg.web.window.Window`: the thread that receives counts it
(:mod:`~fedmsg.web.counts`) and decides whether anybody is to see it; a second thread checks its
signature, finds words for it and cuts it to size (:mod:`~fedmsg.web.cutting`); the server
(:mod:`~fedmsg.web.app`) hands it to browsers as server-sent events.
"""
