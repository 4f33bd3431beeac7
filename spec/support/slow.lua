-- How many times longer things may take than on a machine of one's own:
-- valgrind runs one thread at a time, and each some thirty times slower;
-- ThreadSanitizer some five times, of what it sees.

local TIMES = { valgrind = 6, tsan = 3 }

return TIMES[os.getenv "SANITIZER"] or 1
