"""The bench: one declared trial that any protection runs through, and its leaderboard.

`declaration` reads what is declared, `entry` is what one result holds, `measuring` fills it in from
a finished trial, `verifying` computes a part of a bundle again, and `leaderboard` makes the page.
"""
