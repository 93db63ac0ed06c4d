# Counts words of letters and digits: the natural way in awk.
BEGIN { FS = "[^A-Za-z0-9]+" }
{ for (i = 1; i <= NF; i++) c[$i]++ }
END { delete c[""]; for (word in c) print word "\t" c[word] }
