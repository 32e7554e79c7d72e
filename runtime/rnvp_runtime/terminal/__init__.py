"""What all commands of the distribution print to a terminal.

user_errors      a click command that reports a user's error in one line
progress         progress bars and status lines on standard error
next_commands    the commands to run next, shown after an export or an inspection
"""
