-- How many times longer things may take than on a machine of one's own:
-- valgrind runs one thread at a time, and each some thirty times slower.

return os.getenv "SANITIZER" == "valgrind" and 6 or 1
