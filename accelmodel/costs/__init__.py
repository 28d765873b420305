"""What a chip costs: parts, bill, design, ownership."""
