-- A secret as it may be shown: enough to tell it from others.
return function(secret)
  if #secret < 12 then
    return secret:sub(1, 3) .. "…"
  end
  return (secret:match "^%a+_%a+_" or secret:sub(1, 3)) .. "…"
    .. secret:sub(-4)
end
