"""Ways to cut texts, behind one protocol; `registry` names them all."""
