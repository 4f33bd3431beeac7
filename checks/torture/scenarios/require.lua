-- The module is loaded, and if that fails, once more.

return function(t)
  return {
    run = function()
      t.arm()
      if not pcall(require, "seerstack") then
        t.host.failed()
      end
      require "seerstack"
    end,
  }
end
